// Times one change of one contender on a page that has just been loaded, the
// way js-framework-benchmark does: a few turns to warm up, then the timed ones;
// script alone, and with the layout that it causes.

import { createPatcher } from "../../../client/patch.ts";
import { contenders } from "./contenders.js";

const plain = (root) => {
  const copy = root.cloneNode(true);
  const walker = document.createTreeWalker(copy, NodeFilter.SHOW_COMMENT);
  const comments = [];
  while (walker.nextNode()) comments.push(walker.currentNode);
  for (const c of comments) c.remove();
  return copy.innerHTML;
};

const parsed = (text) => {
  const el = document.createElement("div");
  el.innerHTML = text;
  return el.innerHTML;
};

const newRoot = () => {
  const root = document.createElement("div");
  document.body.append(root);
  return root;
};

/** Runs with the layout done before it, and says what it took. */
const timed = (run) => {
  document.body.offsetHeight;
  const start = performance.now();
  run();
  const script = performance.now() - start;
  document.body.offsetHeight;
  return { script, layout: performance.now() - start };
};

/**
 * Applies the change, takes it back, and so on: first is the first turn, runs
 * are those behind the warm-up. Throws when the page is not what it should be.
 */
globalThis.measure = (page, op, name, warmups, rounds) => {
  const root = newRoot();
  const { there, back, apply } = contenders[name].setup(root, op, page);
  const want = [parsed(op.nextHTML), parsed(op.baseHTML)];
  const times = [];
  for (let i = -warmups; i < rounds; i++) {
    times.push(timed(() => apply(there)));
    if (i < 0 && plain(root) !== want[0]) throw new Error(`${name}, ${op.name}: not the page that it should be`);
    timed(() => apply(back));
    if (i < 0 && plain(root) !== want[1]) throw new Error(`${name}, ${op.name}: the way back fails`);
  }
  return { first: times[0], runs: times.slice(warmups) };
};

/** Times adopting the server's HTML, the first time in a page. */
globalThis.hydrate = (page, op) => {
  const root = newRoot();
  root.innerHTML = op.marked;
  let patcher;
  const { script } = timed(() => (patcher = createPatcher(root, page.manifest, {})));
  if (!patcher.hydrated) throw new Error("not adopted");
  return script;
};
