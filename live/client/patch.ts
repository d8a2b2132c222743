// The patcher: applies the server's patches to the nodes they are about.
// Nothing else is touched, so what the user and the browser keep in the DOM
// (focus, typed text, open details, running animations) stays by construction.

import { check, isElement, PatchError, prepare, type Block, type Manifest } from "./blocks";
import { hydrate } from "./hydrate";
import { createInputPolicy, type InputPolicy } from "./input";
import type { Instance } from "./instance";
import { rebuild } from "./rebuild";
import { apply, sync, type Page, type WireInstance, type WirePatch } from "./apply";

export { PatchError, type Manifest } from "./blocks";
export { createInputPolicy, type InputPolicy } from "./input";

export interface PatchOptions {
  /** Explain mismatches in more detail. */
  dev?: boolean;
  /** The page is not what the manifest describes; a snapshot will repair it. */
  onMismatch?: (why: string) => void;
  /** A tree of elements has come into the page. */
  onMount?: (el: Element) => void;
  /** A unit of the element, or right under it, has changed. */
  onUpdate?: (el: Element) => void;
  /** A tree of elements is about to leave the page. */
  onDestroy?: (el: Element) => void;
  /** Defaults to createInputPolicy(root). */
  inputs?: InputPolicy;
}

export interface Patcher {
  /** Applies a patch. Throws PatchError when it does not fit: then only a snapshot helps. */
  patch(p: unknown): void;
  /** Makes the page what the snapshot says, touching only what differs. */
  snapshot(i: unknown): void;
  /** The page's nodes are known. False until the first snapshot when the HTML could not be adopted. */
  hydrated: boolean;
}

/** Adopts the server's HTML in root. */
export function createPatcher(root: HTMLElement, manifest: Manifest, opts: PatchOptions): Patcher {
  const blocks: Block[] = [];
  const hook = (name: "onMount" | "onUpdate" | "onDestroy") => (n: Node) => {
    if (isElement(n)) opts[name]?.(n);
  };
  const page: Page = {
    block(id) {
      const m = manifest.b[id];
      check(m, `block ${id}`);
      return (blocks[id] ??= prepare(id, m));
    },
    inputs: opts.inputs ?? createInputPolicy(root),
    mounted: hook("onMount"),
    destroyed: hook("onDestroy"),
    updated: hook("onUpdate"),
  };
  let top: Instance;
  /** After an error the nodes are not known any more: the next snapshot builds anew. */
  const guard = (run: () => void) => {
    try {
      patcher.hydrated = false;
      run();
      patcher.hydrated = true;
    } catch (e) {
      throw e instanceof PatchError ? e : new PatchError(`${e}`);
    }
  };
  const patcher: Patcher = {
    hydrated: false,
    patch(p) {
      check(patcher.hydrated, "snapshot");
      guard(() => apply(page, top, p as WirePatch));
    },
    snapshot(i) {
      const w = i as WireInstance;
      if (!patcher.hydrated) top = rebuild(page, root, w);
      guard(() => sync(page, top, w));
    },
  };
  try {
    guard(() => (top = hydrate(root, manifest.r, page.block)));
  } catch (e) {
    opts.onMismatch?.(opts.dev ? `${e} in ${root.innerHTML}` : `${e}`);
  }
  return patcher;
}
