// The patcher: the patch core with the input policy, the morph for irregular
// templates, and the rebuild of a page that is not known.

import type { Manifest } from "./blocks";
import { attach, type Patcher } from "./core";
import { createInputs, type InputPolicy } from "./input";
import { morph, type MorphContext } from "./morph";
import { rebuild } from "./rebuild";

export { createInputs } from "./input";
export type { Manifest, Patcher };

export interface PatchOptions {
  /** What keeps the user's input; without it fields show what they are given. */
  policy?: InputPolicy;
  /** The page is not what the manifest describes; a snapshot will repair it. */
  onMismatch?(why: string): void;
  /** A tree has come into the page. */
  onMount?(n: Node): void;
  /** A unit of the element, or right under it, has changed. */
  onUpdate?(n: Node): void;
  /** A tree is about to leave the page. */
  onDestroy?(n: Node): void;
}

const ignore = () => {};

/** Adopts the server's HTML in root. */
export function createPatcher(root: HTMLElement, manifest: Manifest, opts: PatchOptions): Patcher {
  const { policy: inputs = createInputs(root), onMount = ignore, onUpdate = ignore, onDestroy = ignore } = opts;
  const context: MorphContext = {
    inputs,
    updated: onUpdate,
    mounted(n) {
      inputs.mounted(n);
      onMount(n);
    },
    destroyed(n) {
      inputs.destroyed(n);
      onDestroy(n);
    },
  };
  return attach(root, manifest, {
    ...context,
    morph: (live, next) => morph(live, next, context),
    rebuild: (page, w) => rebuild(page, root, w),
    mismatch: opts.onMismatch ?? ignore,
  });
}
