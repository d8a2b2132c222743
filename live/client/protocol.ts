// The wire protocol, version 1: JSON objects with short keys in text frames.
// docs/protocol.md is its specification.

import type { Entry } from "./queue";

export const VERSION = 1;

/** Close codes that the whole client reacts to. */
export const CODE_TAKEN = 4000;
export const CODE_VERSION = 4003;
/** From here on a fast retry would only repeat them. */
export const CODE_SLOW = 4001;

/** What the server wrote into the page: the container's data-live attribute. */
export interface Config {
  view: string;
  token: string;
  /** Hash of the rendered page, to find out whether a snapshot is needed. */
  hash: string;
  /** Fingerprint of the view's manifest. */
  manifest: string;
  /** Name of the module for connections where WebSockets do not pass. */
  lane?: string;
  dev?: boolean;
  /** Milliseconds between heartbeats. Defaults to 25000. */
  heartbeat?: number;
}

/** A message from the server. */
export interface Frame {
  v?: number;
  s?: number;
  t?: string;
  re?: number;
  f?: string;
  p?: unknown;
  r?: unknown;
  title?: string;
  e?: [string, unknown][];
  fl?: [string, string][];
  i?: number;
  u?: number;
  x?: { c: string; m: string; i?: number; a?: string };
  n?: { u: string; r?: boolean };
}

/** The detail of a live:error event. */
export interface LiveError {
  code: string;
  message: string;
  action?: string;
  /** Number of the message that failed, if one did. */
  i?: number;
}

/** Data of an action, as it goes over the wire. */
export type Data = Record<string, unknown>;

/**
 * Sends an action, behind the edits that wait. The elements are marked as
 * pending until it is answered; then done gets the error of its reply, or nothing.
 */
export type Send = (action: string, data: Data, elements?: Element[], done?: Entry["settle"]) => Entry;

/** Dispatches a custom event; false when a listener has prevented the default. */
export const fire = (target: EventTarget, name: string, detail?: unknown): boolean =>
  target.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, cancelable: true }));
