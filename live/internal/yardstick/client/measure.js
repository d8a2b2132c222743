// Times the contenders, one change of one contender at a time, on a page of its
// own each time: script alone, and with the layout that it causes.

import { createPatcher } from "../../../client/patch.ts";
import { contenders } from "./contenders.js";

const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];

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

const withRoot = (run) => {
  const root = document.createElement("div");
  document.body.append(root);
  try {
    return run(root);
  } finally {
    root.remove();
  }
};

/** Lets the contenders take turns at one change; throws when one leaves another page. */
globalThis.measure = (page, op, rounds) => {
  const times = {};
  for (let round = -2; round < rounds; round++) {
    for (const [name, contender] of Object.entries(contenders)) {
      withRoot((root) => {
        const { message, apply } = contender.setup(root, op, page);
        document.body.offsetHeight;
        const start = performance.now();
        apply(message);
        const script = performance.now() - start;
        document.body.offsetHeight;
        const all = performance.now() - start;
        if (round < 0) {
          if (plain(root) !== parsed(op.nextHTML)) throw new Error(`${name}, ${op.name}: not the page that it should be`);
          return; // warming up
        }
        const t = (times[name] ??= { script: [], layout: [] });
        t.script.push(script);
        t.layout.push(all);
      });
    }
  }
  return Object.fromEntries(
    Object.entries(times).map(([name, t]) => [name, { script: median(t.script), layout: median(t.layout) }]),
  );
};

/** Times adopting the server's HTML. */
globalThis.hydrate = (page, op, rounds) => {
  const times = [];
  for (let round = -2; round < rounds; round++) {
    withRoot((root) => {
      root.innerHTML = op.marked;
      document.body.offsetHeight;
      const start = performance.now();
      const patcher = createPatcher(root, page.manifest, {});
      const time = performance.now() - start;
      if (!patcher.hydrated) throw new Error("not adopted");
      if (round >= 0) times.push(time);
    });
  }
  return median(times);
};
