-- Up Migration
-- The severities that were notified, separated by commas: their receivers also get the resolved notification.
ALTER TABLE alerts ADD COLUMN told_as text;
