// The page as the server sees it: applies frames in order, and knows whether
// the DOM still is what the server believes it to be.

import type { Hooks } from "./hooks";
import type { Inputs } from "./input";
import { createPatcher, type Manifest, type Patcher } from "./patch";
import { fire, type Config, type Frame } from "./protocol";

/** What a page needs of the program around it. */
export interface PageHost {
  readonly root: HTMLElement;
  /** The page's own address, without its query. */
  readonly path: string;
  readonly config: Config;
  readonly hooks: Hooks;
  readonly inputs: Inputs;
  report(code: string, message: string): void;
  /** Says why the page has to be loaded again, and does so, but not over and over. */
  reload(code: string, why: string): void;
  /** Asks the server for a snapshot; false when there is no connection to ask over. */
  request(): boolean;
  /** Before the frame's changes. */
  arriving(frame: Frame): void;
  /** The frame's changes are in the DOM, or the DOM is not what the server believes. */
  settle(whole: boolean): void;
  /** Shows the frame's messages. */
  flashed(frame: Frame): void;
  /** After all that the frame brings. */
  rendered(frame: Frame, whole: boolean): void;
}

const MAX_DELAY = 5000;
/** A request for a snapshot that brings none is repeated after this time. */
const ASK_AGAIN = 5000;

export type Page = ReturnType<typeof createPage>;

export function createPage(host: PageHost) {
  let patcher: Patcher | undefined;
  let print = host.config.manifest; // fingerprint of the manifest in use or on its way
  let inbox: Frame[] = [];
  let pumping = false;
  let seq = 0; // last frame of this connection
  let applied = 0; // last frame that reached the DOM, on any connection
  let broken = false; // only a snapshot helps
  let asking = 0;
  /** Snapshots that could not be applied, one behind the other. */
  let failed = 0;

  /** Works through the inbox; loading a manifest suspends it. */
  const pump = async () => {
    if (pumping) return;
    pumping = true;
    for (let failures = 0; inbox.length || !patcher; ) {
      const wanted = inbox[0]?.f || print;
      if ((!patcher || wanted !== print) && !(await load(wanted))) {
        const delay = Math.random() * Math.min(MAX_DELAY, 200 * 2 ** failures++);
        await new Promise((done) => setTimeout(done, delay));
        continue; // by now another manifest may be wanted
      }
      const frame = inbox.shift();
      try {
        if (frame) apply(frame);
      } catch (e) {
        host.report("internal", `${e}`);
      }
    }
    pumping = false;
    ask();
  };

  /** Loads a manifest; false when that failed for now. */
  const load = async (wanted: string) => {
    try {
      const response = await fetch(`${host.path}?_live=manifest.${wanted}.json`);
      if (!response.ok) throw response.status;
      const manifest = (await response.json()) as Manifest;
      print = wanted;
      adopt(manifest);
      return true;
    } catch (e) {
      host.report("manifest", `${wanted}: ${e}`);
      return false;
    }
  };

  const adopt = (manifest: Manifest) => {
    const { root, config, hooks, inputs } = host;
    patcher = createPatcher(root, manifest, {
      policy: inputs,
      onMismatch: (why) => host.report("mismatch", config.dev ? `${why} in ${root.innerHTML}` : why),
      onMount: hooks.mount,
      onUpdate: hooks.update,
      onDestroy: hooks.destroy,
    });
    broken = !patcher.hydrated;
    hooks.mount(root);
    inputs.fields.adopt(inputs.all());
  };

  const apply = (f: Frame) => {
    if (f.s) {
      if (f.v) seq = f.s - 1; // a new connection counts anew
      if (f.s <= seq) return;
      if (f.s > seq + 1) broken = true;
      seq = f.s;
    }
    host.arriving(f);
    update(f);
    host.settle(!broken);
    if (f.s && !broken) applied = f.s;
    if (f.title !== undefined) document.title = f.title;
    for (const [name, detail] of f.e ?? []) fire(host.root, name, detail);
    host.flashed(f);
    host.rendered(f, !broken);
  };

  const update = (f: Frame) => {
    try {
      if (f.r !== undefined) {
        patcher!.snapshot(f.r);
        broken = false;
        failed = 0;
        asked();
      } else if (f.p !== undefined && !broken) patcher!.patch(f.p);
    } catch (e) {
      broken = true; // and the patcher will build from the snapshot alone
      host.report("patch", `${e}`);
      if (f.r !== undefined && failed++) host.reload("repair", `${e}`);
    }
  };

  /** Asks for a snapshot while one is needed. */
  const ask = () => {
    if (!broken || asking || !host.request()) return;
    asking = setTimeout(() => {
      asking = 0;
      ask();
    }, ASK_AGAIN);
  };

  const asked = () => {
    clearTimeout(asking);
    asking = 0;
  };

  void pump();
  return {
    /** Applies a frame, after those before it. */
    receive(frame: Frame) {
      inbox.push(frame);
      void pump();
    },

    /** Forgets frames that wait: their connection is gone. */
    reset() {
      inbox = [];
      asked();
    },

    /** The page's part of the hello. */
    hello: (): object => ({
      h: applied || broken ? "" : host.config.hash,
      f: print,
      s: applied,
      ...(broken && { q: 1 }),
    }),
  };
}
