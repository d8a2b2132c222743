// What the user sees besides the page itself: flashes, and the notice that the
// page is stale. A layout may bring its own elements (#live-flash, #live-notice).

const STALE_TEXT = "Connection lost. Trying to reconnect…";
const MAX_FLASHES = 5;
const STYLE = "position:fixed;z-index:999;left:0;padding:0 1em;background:#222;color:#fff;";

/** The layout's element, or a plain one at the end of the page. */
function area(id: string, place: string): HTMLElement {
  let el = document.getElementById(id);
  if (!el) {
    el = document.createElement("div");
    el.id = id;
    el.style.cssText = STYLE + place;
    document.body.append(el);
  }
  el.hidden = false;
  el.setAttribute("role", "status");
  el.setAttribute("aria-live", "polite");
  el.onclick = (e) => (e.target as Element).closest(".live-flash")?.remove();
  return el;
}

const flashes = () => area("live-flash", "top:0");
const notices = () => area("live-notice", "bottom:0");

/** Makes the areas: screen readers only follow what is there before the text. */
export function prepare(): void {
  flashes();
  notices();
}

function say(list: HTMLElement, kind: string, text: string): void {
  const p = document.createElement("p");
  p.className = kind;
  p.textContent = text;
  if (/error$/.test(kind)) p.setAttribute("role", "alert");
  list.append(p);
}

/** Shows a message until it is clicked or pushed out by newer ones. */
export function flash(kind: string, text: string): void {
  const list = flashes();
  say(list, `live-flash live-flash-${kind.replace(/\W/g, "-")}`, text);
  while (list.children.length > MAX_FLASHES) list.firstElementChild!.remove();
}

const KEPT = "live:flashes";

/** Has the page that the browser goes to now show a message: here nobody would read it. */
export function keep(kind: string, text: string): void {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify([...read(), [kind, text]]));
  } catch {
    // Without storage it is lost, as it would be if it were shown here.
  }
}

/** Shows the messages that the page before has kept, once. */
export function kept(show: (kind: string, text: string) => void): void {
  try {
    for (const [kind, text] of read()) show(kind, text);
    sessionStorage.removeItem(KEPT);
  } catch {
    // Without storage there are none.
  }
}

const read = (): [string, string][] => JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");

/** Says that the page is stale, or takes it back. */
export function notice(root: HTMLElement, stale: boolean): void {
  const list = notices();
  list.textContent = "";
  if (stale) say(list, "live-notice", root.dataset.stale || STALE_TEXT);
}
