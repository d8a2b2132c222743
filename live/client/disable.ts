// live-disable, beside the client on pages that use it: a control whose action
// is under way is disabled until the answer, and does nothing more meanwhile.
//
// What says so is the element's own count of messages (see app.ts), not its
// classes, which a patch may write. The attribute that is set here has a value of
// its own, so that one that the server sets meanwhile is told from it, and stays.

import { attr, call, of } from "./dom";

const PENDING = Symbol.for("live");
const NAME = "live-disable";
const OURS = "live";
/** See events.ts: these keep their own click inside a clickable area. */
const INTERACTIVE = "a[href],button,input,select,textarea,label,summary";
const NATIVE = "button,input,select,textarea,fieldset";
const SUBMITS = "button:not([type=button],[type=reset]),input[type=submit],input[type=image]";

const root = document.getElementById("live")!;
/** What has been asked with each element, until it is answered. */
const asked = new Map<Element, string>();
/** What is disabled here. */
const held = new Set<Element>();
/** What had the focus when it was disabled. */
let left: string | undefined;

const is = (el: Element | null | undefined, selector: string) => !!el && call(el, "matches", selector);
const waits = (el?: Element | null): boolean => (el as { [PENDING]?: number } | null | undefined)?.[PENDING]! > 0;

/** Names an element over a patch that makes it anew: by what it sends, and by where it is. */
function name(el: Element): string {
  let at = "";
  for (let n: Element | null = el; n && n !== root; n = of(n, "parentElement")) {
    at += `${["id", "data-key", "key"].map((a) => attr(n!, a) ?? "")}/`;
  }
  const sends = call(el, "getAttributeNames").filter((a) => /^(name|value|type|action|live-(click|value-.*))$/.test(a));
  return at + of(el, "nodeName") + sends.sort().map((a) => `${a}=${attr(el, a)}`) + call(el, "querySelectorAll", "[name=live-action]").length;
}

/** What an element with the attribute disables: itself, or a form's buttons. */
const controls = (el: Element): Element[] =>
  el instanceof HTMLFormElement ? ([...of(el, "elements")] as Element[]).filter((b) => is(b, SUBMITS)) : [el];

/** The attribute by which an element is disabled. */
const by = (el: Element) => (is(el, NATIVE) ? ["disabled", OURS] : ["aria-disabled", "true"]);

function hold(el: Element): void {
  const [key, value] = by(el);
  // The server's, or there already.
  if (call(el, "hasAttribute", key)) return;
  if (document.activeElement === el) left = name(el);
  held.add(el);
  call(el, "setAttribute", key, value);
}

function release(el: Element): void {
  const [key, value] = by(el);
  held.delete(el);
  if (attr(el, key) !== value) return; // the server has written it
  call(el, "removeAttribute", key);
  // Browsers take the focus from what is disabled: it comes back, unless the user has gone on.
  const { activeElement } = document;
  if (left === name(el) && (!activeElement || activeElement === document.body)) (el as HTMLElement).focus({ preventScroll: true });
}

/** Disables what waits for an answer, and enables what does not any more. */
function look(): void {
  for (const el of asked.keys()) {
    if (!waits(el)) asked.delete(el);
    else if (!is(el, ".live-pending")) {
      // A patch has written the class. Its end tells when the answer comes.
      of(el, "classList").add("live-pending");
      call(el, "setAttribute", "aria-busy", "true");
    }
  }
  const all = [...root.querySelectorAll(`[${NAME}]`)];
  for (const el of all) {
    if (!waits(el) || asked.has(el)) continue;
    asked.set(el, name(el));
    watch.observe(el, { attributeFilter: ["class"] }); // also once it has left the page
  }
  const gone = [...asked].filter(([el]) => !root.contains(el)).map(([, n]) => n);
  const now = new Set(all.filter((el) => waits(el) || (gone[0] && gone.includes(name(el)))).flatMap(controls));
  for (const el of held) {
    if (!now.has(el)) release(el);
    else if (!call(el, "hasAttribute", by(el)[0])) held.delete(el); // a patch has taken it off
  }
  now.forEach((el) => held.has(el) || hold(el));
  if (asked.size) watch.observe(root, { subtree: true, childList: true, attributeFilter: ["class", "disabled", "aria-disabled", NAME] });
  else {
    watch.disconnect();
    left = undefined;
  }
  watch.takeRecords();
}

const watch = new MutationObserver(look);

/** Whether this is, or has taken the place of, what waits for an answer. */
const blocked = (el?: Element | null): boolean => is(el, `[${NAME}]`) && (waits(el) || controls(el!).some((c) => held.has(c)));

function stop(e: Event): void {
  e.preventDefault();
  e.stopImmediatePropagation();
}

// Before the client hears of it, and behind it.
addEventListener("click", (e) => {
  const target = e.target as Element;
  const el = root.contains(target) ? call(target, "closest", "[live-click]") : null;
  const inner = el && call(target, "closest", INTERACTIVE);
  if (blocked(el) && !(inner && inner !== el && call(el!, "contains", inner))) stop(e);
}, true);
addEventListener("submit", (e) => {
  if (blocked(e.target as Element) || blocked((e as SubmitEvent).submitter)) stop(e);
}, true);
addEventListener("click", look);
addEventListener("submit", look);
