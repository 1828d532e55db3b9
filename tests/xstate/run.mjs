// Runs exported charts in XState itself, as `callchart simulate` would run them.
//
// stdin:  {"charts": [config, …], "runs": [{"chart": 0, "cases": [[step, …], …]}, …]}, steps as `callchart simulate`
//         reads them.
// stdout: [[[[state, [action, …]], …one per step and one before], …one per case], …one per run]
//
// Guards answer from the step's table, actions are recorded by their bare names, invoked actors never end.

import { readFileSync } from 'node:fs';
import { createActor, createMachine, fromCallback } from 'xstate';

/** Time that moves only when told to: timers fire in the order they are due, those due together as they were set. */
class DueClock {
  now = 0;
  #timers = new Map();
  #last = 0;

  setTimeout(callback, delay) {
    this.#timers.set(++this.#last, { due: this.now + delay, callback });
    return this.#last;
  }

  clearTimeout(id) {
    this.#timers.delete(id);
  }

  advance(ms) {
    const end = this.now + ms;
    for (let id = this.#next(end); id !== undefined; id = this.#next(end)) {
      const { due, callback } = this.#timers.get(id);
      this.#timers.delete(id);
      this.now = Math.max(this.now, due);
      callback();
    }
    this.now = end;
  }

  #next(end) {
    let found;
    for (const [id, { due }] of this.#timers) {
      if (due <= end && (found === undefined || due < this.#timers.get(found).due)) found = id;
    }
    return found;
  }
}

/** What the running case looks at and writes to. */
const now = { guards: {}, actions: [] };

const NEGATION = 'not ';
const holds = (name) =>
  name.startsWith(NEGATION) ? !now.guards[name.slice(NEGATION.length)] : Boolean(now.guards[name]);

function implementations(config) {
  const found = { guards: {}, actions: {}, actors: {} };
  const name = (ref) => (typeof ref === 'string' ? ref : ref.type);
  const action = (ref) => (found.actions[name(ref)] = () => void now.actions.push(name(ref)));
  const row = ({ guard, actions = [] }) => {
    actions.forEach(action);
    if (guard === undefined) return;
    const all = name(guard).split(' and ');
    found.guards[name(guard)] = () => all.every(holds);
  };
  const walk = (node) => {
    for (const rows of [...Object.values(node.on ?? {}), ...Object.values(node.after ?? {})]) [rows].flat().forEach(row);
    [...(node.entry ?? []), ...(node.exit ?? [])].forEach(action);
    for (const { src } of [node.invoke ?? []].flat()) found.actors[src] = fromCallback(() => {});
    Object.values(node.states ?? {}).forEach(walk);
  };
  walk(config);
  return found;
}

/** XState's own names for the ends of an invoked actor. */
const eventName = (name) =>
  name.replace(/^done\.invoke\./, 'xstate.done.actor.').replace(/^error\.invoke\./, 'xstate.error.actor.');

function send(machine, actor, event) {
  const snapshot = actor.getSnapshot();
  // A failed actor that nobody catches stops the whole of an XState machine; a call refuses the event and goes on.
  if (snapshot.status === 'active' && machine.getTransitionData(snapshot, event).length > 0) actor.send(event);
}

function runCase(machine, steps) {
  const clock = new DueClock();
  now.guards = {};
  now.actions = [];
  const actor = createActor(machine, { clock });
  actor.start();
  const trace = [entry(actor)];
  for (const { event, advance, guards } of steps) {
    now.guards = guards ?? {};
    now.actions = [];
    if (event === undefined) clock.advance(advance);
    else send(machine, actor, { type: eventName(event) });
    trace.push(entry(actor));
  }
  actor.stop();
  return trace;
}

function entry(actor) {
  const { status, value, error } = actor.getSnapshot();
  if (status === 'error') throw error;
  let leaf = value;
  while (typeof leaf !== 'string') leaf = Object.values(leaf)[0];
  return [leaf, now.actions];
}

const { charts, runs } = JSON.parse(readFileSync(0, 'utf8'));
const machines = charts.map((config) => createMachine(config, implementations(config)));
const traces = runs.map(({ chart, cases }) => cases.map((steps) => runCase(machines[chart], steps)));
process.stdout.write(JSON.stringify(traces));
