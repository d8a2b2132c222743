// Rebuilding: the way back when the page's nodes are not known, after a deploy
// or when somebody has rewritten them.

import { make, type Page, type WireInstance } from "./apply";
import { given } from "./given";
import { written, type Instance, type Run } from "./instance";
import { morph } from "./morph";

/** Builds the page beside the live one, and lets the live nodes take its place. */
export function rebuild(page: Page, root: Node, w: WireInstance): Instance {
  const next = document.createDocumentFragment();
  const top = make(page, w, next, null);
  const live = new Map<Node, Node>();
  morph(root, next, { ...page, paired: (n, l) => live.set(n, l) && written(l) });
  const real = (n: Node) => live.get(n) ?? n;
  const adopt = (inst: Instance): void => {
    inst.nodes = inst.nodes.map((n) => {
      const at = real(n) as Run;
      at.html = (n as Run).html?.map((h) => real(h) as ChildNode);
      return at;
    });
    inst.first = real(inst.first);
    inst.last = real(inst.last);
    given.enroll(inst);
    inst.fills.flat().forEach((child) => child && adopt(child));
  };
  adopt(top);
  return top;
}
