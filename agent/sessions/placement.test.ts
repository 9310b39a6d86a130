import { expect, test } from 'vitest';
import { sampleInstance } from '../../test/harness/instance.ts';
import type { Instance } from '../core/state.ts';
import { uuid7 } from '../lib/uuid7.ts';
import { createPlacement, pinOverrides, placePins } from './placement.ts';

const instance = (id: string, more: Partial<Instance> = {}) =>
  sampleInstance({ id, url: `http://${id}:8004`, latencyMs: 1, ...more });

const NOW = 1_000_000;
/** The same id in every run. */
const id = uuid7(NOW, (size) => Buffer.alloc(size, 7));
const all = ['gs-1', 'gs-2', 'gs-3'];
const placement = (states: Record<string, Partial<Instance>> = {}) =>
  createPlacement(
    all.map((name) => instance(name, states[name])),
    NOW,
  );

test('the edge derives a new pin from the session id, so the snapshot does not carry it', () => {
  const { pins, moves } = placePins(id, {}, placement(), NOW);
  expect(pins.gs).toBe(placement().instanceFor(id, 'gs'));
  expect(moves).toEqual([]);
  expect(pinOverrides([{ id, pins }], placement(), 10)).toEqual({});
});

test('a session moves once when its instance dies, and stays moved when it comes back', () => {
  const first = placePins(id, {}, placement(), NOW).pins.gs ?? '';
  const dead = placement({ [first]: { state: 'down' } });
  const moved = placePins(id, { gs: first }, dead, NOW + 1);
  const second = moved.pins.gs ?? '';
  expect(second).not.toBe(first);
  expect(moved.moves).toEqual([
    { at: NOW + 1, service: 'gs', from: first, to: second, reason: `${first} no longer serves` },
  ]);
  const back = placement({ [first]: { since: NOW + 2, servingSince: NOW + 2 } });
  expect(placePins(id, moved.pins, back, NOW + 3).changed).toBe(false);
  expect(pinOverrides([{ id, pins: moved.pins }], back, 10)).toEqual({});
});

test('when all instances are younger than the session, the snapshot carries the pin', () => {
  const young = { since: NOW + 5, servingSince: NOW + 5 };
  const states = Object.fromEntries(all.map((name) => [name, young]));
  const own = placement(states).instanceFor(id, 'gs');
  const other = all.find((name) => name !== own) ?? '';
  expect(placePins(id, { gs: other }, placement(states), NOW + 6).changed).toBe(false);
  expect(pinOverrides([{ id, pins: { gs: other } }], placement(states), 10)).toEqual({ [id]: { gs: other } });
});

test('a draining instance keeps its sessions; with no instance left the pin waits', () => {
  const first = placePins(id, {}, placement(), NOW).pins.gs ?? '';
  const draining = placement({
    [first]: { state: 'draining', admin: 'drain', since: NOW + 1, servingSince: 0 },
  });
  expect(placePins(id, { gs: first }, draining, NOW + 2).changed).toBe(false);
  const allDown = placement(Object.fromEntries(all.map((name) => [name, { state: 'down' as const }])));
  expect(placePins(id, { gs: first }, allDown, NOW + 2)).toMatchObject({ changed: false, moves: [] });
});
