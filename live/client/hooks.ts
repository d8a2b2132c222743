// Hooks: application code bound to elements with a live-hook attribute.

import { attr, call } from "./dom";
import { isElement } from "./blocks";

export interface Hook {
  mounted?(el: Element): void;
  updated?(el: Element): void;
  destroyed?(el: Element): void;
}

export interface Hooks {
  define(name: string, hook: Hook): void;
  mount(tree: Node): void;
  update(n: Node): void;
  destroy(tree: Node): void;
}

export function createHooks(root: Element, report: (message: string) => void): Hooks {
  const defined = new Map<string, Hook>();
  const mounted = new Map<Element, Hook>();

  const run = (hook: Hook, step: keyof Hook, el: Element) => {
    try {
      hook[step]?.(el);
    } catch (e) {
      report(`hook ${attr(el, "live-hook")} ${step}: ${e}`);
    }
  };

  const each = (tree: Node, fn: (el: Element) => void) => {
    if (!isElement(tree)) return;
    if (call(tree, "matches", "[live-hook]")) fn(tree);
    call(tree, "querySelectorAll", "[live-hook]").forEach(fn);
  };

  // Elements are mounted once, however often they are found.
  const mount = (tree: Node) =>
    each(tree, (el) => {
      const hook = defined.get(attr(el, "live-hook")!);
      if (!hook || mounted.has(el)) return;
      mounted.set(el, hook);
      run(hook, "mounted", el);
    });

  return {
    define(name, hook) {
      defined.set(name, hook);
      mount(root);
    },
    mount,
    update(n) {
      const owner = isElement(n) && call(n, "closest", "[live-hook]");
      const hook = owner && mounted.get(owner);
      if (hook) run(hook, "updated", owner);
    },
    destroy: (tree) =>
      each(tree, (el) => {
        const hook = mounted.get(el);
        if (mounted.delete(el)) run(hook!, "destroyed", el);
      }),
  };
}
