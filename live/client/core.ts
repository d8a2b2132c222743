// The patch core: adopts the server's HTML, and applies patches and snapshots to
// the nodes they are about. Nothing else is touched, so what the user and the
// browser keep in the DOM (focus, typed text, open details, running animations)
// stays by construction.

import { apply, sync, type Page, type WireInstance, type WirePatch } from "./apply";
import { check, prepare, type Block, type Manifest } from "./blocks";
import { hydrate } from "./hydrate";
import type { Instance } from "./instance";
import type { Context } from "./units";

/** What the core leaves to others, see patch.ts. */
export interface Host extends Context {
  /** Makes the page what the snapshot says when its nodes are not known. */
  rebuild(page: Page, w: WireInstance): Instance;
  /** The page is not what the manifest describes. */
  mismatch(why: string): void;
}

export interface Patcher {
  /** Applies a patch. Throws when it does not fit: then only a snapshot helps. */
  patch(p: unknown): void;
  /** Makes the page what the snapshot says, touching only what differs. */
  snapshot(i: unknown): void;
  /** The page's nodes are known. False until the first snapshot when the HTML could not be adopted. */
  hydrated: boolean;
}

/** Adopts the server's HTML in root. */
export function attach(root: Node, manifest: Manifest, host: Host): Patcher {
  const blocks: Block[] = [];
  const page: Page = {
    ...host,
    block(id) {
      const m = manifest.b[id];
      check(m, "block");
      return (blocks[id] ??= prepare(id, m));
    },
  };
  let top: Instance;
  /** After an error the nodes are not known any more: the next snapshot builds anew. */
  const run = (step: () => void) => {
    patcher.hydrated = false;
    step();
    patcher.hydrated = true;
  };
  const patcher: Patcher = {
    hydrated: false,
    patch(p) {
      check(patcher.hydrated, "snapshot");
      run(() => apply(page, top, p as WirePatch));
    },
    snapshot(w) {
      if (!patcher.hydrated) top = host.rebuild(page, w as WireInstance);
      run(() => sync(page, top, w as WireInstance));
    },
  };
  try {
    run(() => (top = hydrate(root, manifest.r, page.block)));
  } catch (e) {
    host.mismatch(`${e}`);
  }
  return patcher;
}
