-- Up Migration
-- As what people were told of an alert, severities with commas between: whoever heard of it hears that it is over.
ALTER TABLE alerts ADD COLUMN told_as text;
