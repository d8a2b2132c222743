// The page as the server sees it: applies frames in order, and knows whether
// the DOM still is what the server believes it to be.

import type { Hooks } from "./hooks";
import type { Inputs } from "./input";
import { createPatcher, type Manifest, type Patcher } from "./patch";
import { fire, type Config, type Frame } from "./protocol";

/** What a page needs of the program around it. */
export interface PageHost {
  readonly root: HTMLElement;
  /** The page's own address. */
  readonly address: string;
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

export class Page {
  #patcher?: Patcher;
  #manifest?: Manifest;
  #print: string; // fingerprint of the manifest in use or on its way
  #inbox: Frame[] = [];
  #pumping = false;
  #seq = 0; // last frame of this connection
  #applied = 0; // last frame that reached the DOM, on any connection
  #broken = false; // only a snapshot helps
  #asking = 0;
  /** Snapshots that could not be applied, one behind the other. */
  #failed = 0;

  #host: PageHost;

  constructor(host: PageHost) {
    this.#host = host;
    this.#print = host.config.manifest;
    void this.#pump();
  }

  /** Applies a frame, after those before it. */
  receive(frame: Frame): void {
    this.#inbox.push(frame);
    void this.#pump();
  }

  /** Forgets frames that wait: their connection is gone. */
  reset(): void {
    this.#inbox = [];
    this.#asked();
  }

  /** The page's part of the hello. */
  hello(): object {
    const stranger = this.#applied || this.#broken;
    return {
      h: stranger ? "" : this.#host.config.hash,
      f: this.#print,
      s: this.#applied,
      ...(this.#broken && { q: 1 }),
    };
  }

  /** Works through the inbox; loading a manifest suspends it. */
  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    for (let failures = 0; this.#inbox.length || !this.#patcher; ) {
      const wanted = this.#inbox[0]?.f || this.#print;
      if ((!this.#patcher || wanted !== this.#print) && !(await this.#load(wanted))) {
        const delay = Math.random() * Math.min(MAX_DELAY, 200 * 2 ** failures++);
        await new Promise((done) => setTimeout(done, delay));
        continue; // by now another manifest may be wanted
      }
      const frame = this.#inbox.shift();
      try {
        if (frame) this.#apply(frame);
      } catch (e) {
        this.#host.report("internal", `${e}`);
      }
    }
    this.#pumping = false;
    this.#ask();
  }

  /** Loads a manifest; false when that failed for now. */
  async #load(wanted: string): Promise<boolean> {
    try {
      const response = await fetch(this.#host.address.replace(/\?.*|$/, `?_live=manifest.${wanted}.json`));
      if (!response.ok) throw response.status;
      this.#manifest = (await response.json()) as Manifest;
      this.#print = wanted;
      this.#adopt();
      return true;
    } catch (e) {
      this.#host.report("manifest", `${wanted}: ${e}`);
      return false;
    }
  }

  #adopt(): void {
    const { root, config, hooks, inputs } = this.#host;
    this.#patcher = createPatcher(root, this.#manifest!, {
      policy: inputs,
      onMismatch: (why) => this.#host.report("mismatch", config.dev ? `${why} in ${root.innerHTML}` : why),
      onMount: hooks.mount,
      onUpdate: hooks.update,
      onDestroy: hooks.destroy,
    });
    this.#broken = !this.#patcher.hydrated;
    hooks.mount(root);
    inputs.fields.adopt(inputs.all());
  }

  #apply(f: Frame): void {
    if (f.s) {
      if (f.v) this.#seq = f.s - 1; // a new connection counts anew
      if (f.s <= this.#seq) return;
      if (f.s > this.#seq + 1) this.#broken = true;
      this.#seq = f.s;
    }
    this.#host.arriving(f);
    this.#update(f);
    this.#host.settle(!this.#broken);
    if (f.s && !this.#broken) this.#applied = f.s;
    if (f.title !== undefined) document.title = f.title;
    for (const [name, detail] of f.e ?? []) fire(this.#host.root, name, detail);
    this.#host.flashed(f);
    this.#host.rendered(f, !this.#broken);
  }

  #update(f: Frame): void {
    try {
      if (f.r !== undefined) {
        this.#patcher!.snapshot(f.r);
        this.#broken = false;
        this.#failed = 0;
        this.#asked();
      } else if (f.p !== undefined && !this.#broken) this.#patcher!.patch(f.p);
    } catch (e) {
      this.#broken = true; // and the patcher will build from the snapshot alone
      this.#host.report("patch", `${e}`);
      if (f.r !== undefined && this.#failed++) this.#host.reload("repair", `${e}`);
    }
  }

  /** Asks for a snapshot while one is needed. */
  #ask(): void {
    if (!this.#broken || this.#asking || !this.#host.request()) return;
    this.#asking = setTimeout(() => {
      this.#asking = 0;
      this.#ask();
    }, ASK_AGAIN);
  }

  #asked(): void {
    clearTimeout(this.#asking);
    this.#asking = 0;
  }
}
