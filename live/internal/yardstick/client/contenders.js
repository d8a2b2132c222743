// Ways to bring a change into a page. Each is set up on a root that shows the
// base state and then given what its server would send: there for the change,
// back to undo it. Parsing the text is part of applying it.

import { createPatcher } from "../../../client/patch.ts";
import Rendered from "./node_modules/phoenix_live_view/assets/js/phoenix_live_view/rendered.js";
import morphdom from "morphdom";
import { Idiomorph } from "idiomorph";

/** A contender that is sent the whole page. */
const whole = (apply) => ({
  setup(root, op) {
    root.innerHTML = op.baseHTML;
    return { there: op.nextHTML, back: op.baseHTML, apply: (text) => apply(root, text) };
  },
});

export const contenders = {
  direct: {
    setup(root, op, page) {
      root.innerHTML = op.marked;
      const patcher = createPatcher(root, page.manifest, {
        onMismatch(why) {
          throw new Error(why);
        },
      });
      return { there: op.patch, back: op.unpatch, apply: (text) => patcher.patch(JSON.parse(text)) };
    },
  },
  // What View.renderContainer and DOMPatch do, without hooks, locks and restorers.
  liveview: {
    setup(root, op) {
      root.innerHTML = op.baseHTML;
      const rendered = new Rendered("yardstick", JSON.parse(op.join));
      rendered.toString();
      return {
        there: op.diff,
        back: op.undiff,
        apply(text) {
          rendered.mergeDiff(JSON.parse(text));
          morphdom(root, `<div>${rendered.toString().buffer}</div>`, { childrenOnly: true });
        },
      };
    },
  },
  morphdom: whole((root, text) => morphdom(root, `<div>${text}</div>`, { childrenOnly: true })),
  idiomorph: whole((root, text) => Idiomorph.morph(root, text, { morphStyle: "innerHTML" })),
  innerHTML: whole((root, text) => (root.innerHTML = text)),
};
