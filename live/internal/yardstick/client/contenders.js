// Ways to bring a change into a page. Each is set up on a root that shows the
// base state and then given what its server would send.

import { createPatcher } from "../../../client/patch.ts";
import Rendered from "./node_modules/phoenix_live_view/assets/js/phoenix_live_view/rendered.js";
import morphdom from "morphdom";
import { Idiomorph } from "idiomorph";

const html = (root, op) => (root.innerHTML = op.baseHTML);

export const contenders = {
  direct: {
    setup(root, op, page) {
      root.innerHTML = op.marked;
      const patcher = createPatcher(root, page.manifest, {
        onMismatch(why) {
          throw new Error(why);
        },
      });
      return { message: op.patch, apply: (text) => patcher.patch(JSON.parse(text)) };
    },
  },
  // What View.renderContainer and DOMPatch do, without hooks, locks and restorers.
  liveview: {
    setup(root, op) {
      html(root, op);
      const rendered = new Rendered("yardstick", JSON.parse(op.join));
      rendered.toString();
      return {
        message: op.diff,
        apply(text) {
          rendered.mergeDiff(JSON.parse(text));
          morphdom(root, `<div>${rendered.toString().buffer}</div>`, { childrenOnly: true });
        },
      };
    },
  },
  morphdom: {
    setup(root, op) {
      html(root, op);
      return { message: op.nextHTML, apply: (text) => morphdom(root, `<div>${text}</div>`, { childrenOnly: true }) };
    },
  },
  idiomorph: {
    setup(root, op) {
      html(root, op);
      return { message: op.nextHTML, apply: (text) => Idiomorph.morph(root, text, { morphStyle: "innerHTML" }) };
    },
  },
  innerHTML: {
    setup(root, op) {
      html(root, op);
      return { message: op.nextHTML, apply: (text) => (root.innerHTML = text) };
    },
  },
};
