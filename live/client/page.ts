// The page as the server sees it: applies frames in order, and knows whether
// the DOM still is what the server believes it to be.

import { createPatcher, PatchError, type Manifest, type Patcher, type PatchOptions } from "./patch";
import { flash } from "./notice";
import { fire, type Config, type Frame } from "./protocol";

export interface PageOptions {
  root: HTMLElement;
  /** The page's own address. */
  address: string;
  config: Config;
  patching: PatchOptions;
  report(code: string, message: string): void;
  /** Asks the server for a snapshot; false when there is no connection to ask over. */
  request(): boolean;
  /** Before the frame's changes. */
  arriving(frame: Frame): void;
  /** After the frame's changes; whole says that the DOM is what the server believes. */
  rendered(frame: Frame, whole: boolean): void;
  /** A patcher has taken the container. */
  adopted(): void;
}

const MAX_DELAY = 5000;
/** A request for a snapshot that brings none is repeated after this time. */
const ASK_AGAIN = 5000;

export class Page {
  private patcher?: Patcher;
  private manifest?: Manifest;
  private print: string; // fingerprint of the manifest in use or on its way
  private inbox: Frame[] = [];
  private pumping = false;
  private seq = 0; // last frame of this connection
  private applied = 0; // last frame that reached the DOM, on any connection
  private broken = false; // only a snapshot helps
  private asking = 0;

  constructor(private o: PageOptions) {
    this.print = o.config.manifest;
    void this.pump();
  }

  /** Applies a frame, after those before it. */
  receive(frame: Frame): void {
    this.inbox.push(frame);
    void this.pump();
  }

  /** Forgets frames that wait: their connection is gone. */
  reset(): void {
    this.inbox = [];
    this.asked();
  }

  /** The page's part of the hello. */
  hello(): object {
    const { applied, broken, print } = this;
    return { h: applied || broken ? "" : this.o.config.hash, f: print, s: applied, ...(broken && { q: 1 }) };
  }

  /** Works through the inbox; loading a manifest suspends it. */
  private async pump(): Promise<void> {
    if (this.pumping) return;
    this.pumping = true;
    for (let failures = 0; this.inbox.length || !this.patcher; ) {
      const wanted = this.inbox[0]?.f || this.print;
      if ((!this.patcher || wanted !== this.print) && !(await this.load(wanted))) {
        const delay = Math.random() * Math.min(MAX_DELAY, 200 * 2 ** failures++);
        await new Promise((done) => setTimeout(done, delay));
        continue; // by now another manifest may be wanted
      }
      const frame = this.inbox.shift();
      try {
        if (frame) this.apply(frame);
      } catch (e) {
        this.o.report("internal", String(e));
      }
    }
    this.pumping = false;
    this.ask();
  }

  /** Loads a manifest; false when that failed for now. */
  private async load(wanted: string): Promise<boolean> {
    try {
      const response = await fetch(this.o.address.replace(/\?.*|$/, `?_live=manifest.${wanted}.json`));
      if (!response.ok) throw new Error(`status ${response.status}`);
      this.manifest = (await response.json()) as Manifest;
      this.print = wanted;
      this.adopt();
      return true;
    } catch (e) {
      this.o.report("manifest", `manifest ${wanted}: ${e}`);
      return false;
    }
  }

  private adopt(): void {
    this.patcher = createPatcher(this.o.root, this.manifest!, this.o.patching);
    this.broken = !this.patcher.hydrated;
    this.o.adopted();
  }

  private apply(f: Frame): void {
    if (f.s) {
      if (f.v) this.seq = f.s - 1; // a new connection counts anew
      if (f.s <= this.seq) return;
      if (f.s > this.seq + 1) this.broken = true;
      this.seq = f.s;
    }
    this.o.arriving(f);
    this.update(f);
    if (f.s && !this.broken) this.applied = f.s;
    if (f.title !== undefined) document.title = f.title;
    for (const [name, detail] of f.e ?? []) fire(this.o.root, name, detail);
    for (const [kind, text] of f.fl ?? []) {
      if (fire(this.o.root, "live:flash", { kind, text })) flash(kind, text);
    }
    this.o.rendered(f, !this.broken);
  }

  private update(f: Frame): void {
    try {
      if (f.r !== undefined) this.snapshot(f.r);
      else if (f.p !== undefined && !this.broken) this.patcher!.patch(f.p);
    } catch (e) {
      this.broken = true;
      this.o.report(e instanceof PatchError ? "patch" : "internal", String(e));
    }
  }

  /** Applies a snapshot, if need be by a patcher that starts from nothing. */
  private snapshot(r: unknown): void {
    try {
      this.patcher!.snapshot(r);
    } catch (e) {
      this.o.report("patch", `snapshot: ${e}`);
      this.adopt();
      this.patcher!.snapshot(r);
    }
    this.broken = false;
    this.asked();
  }

  /** Asks for a snapshot while one is needed. */
  private ask(): void {
    if (!this.broken || this.asking || !this.o.request()) return;
    this.asking = setTimeout(() => {
      this.asking = 0;
      this.ask();
    }, ASK_AGAIN);
  }

  private asked(): void {
    clearTimeout(this.asking);
    this.asking = 0;
  }
}
