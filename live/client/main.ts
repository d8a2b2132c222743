// Starts the live page, and offers window.live to the page's own scripts.

import { createApp } from "./app";
import type { Hook } from "./hooks";
import type { Data, LiveError } from "./protocol";

export interface Live {
  /** Binds code to the elements with live-hook="name", now and later. */
  hook(name: string, hook: Hook): void;
  /** Sends an action; resolves once it is answered, with the error if there was one. */
  push(action: string, data?: Data): Promise<LiveError | undefined>;
  /** Calls fn with the detail of each such event; the result takes it back. */
  on(name: string, fn: (detail: unknown) => void): () => void;
  /** Whether the page is connected right now. */
  readonly connected: boolean;
}

declare global {
  interface Window {
    live?: Live;
  }
}

function start(root: HTMLElement): Live {
  const app = createApp(root);
  return {
    hook: app.hooks.define,
    push: (action, data) => new Promise((done) => app.send(action, data ?? {}, [], done)),
    on(name, fn) {
      const listener = (e: Event) => fn((e as CustomEvent).detail);
      root.addEventListener(name, listener);
      return () => root.removeEventListener(name, listener);
    },
    get connected() {
      return app.connected();
    },
  };
}

// Until now window.live is the element of that id, as browsers have it.
const root = document.getElementById("live");
if (root?.dataset.live && !window.live?.push) window.live = start(root);
