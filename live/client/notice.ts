// What the user sees besides the page itself: flashes, and the notice that the
// page is stale. A layout may bring its own elements (#live-flash, #live-notice).

const STALE_TEXT = "Connection lost. Trying to reconnect…";
const MAX_FLASHES = 5;

/** Finds the layout's element, or makes a plain one at the end of the page. */
function area(id: string, role: string, css: string): HTMLElement {
  let el = document.getElementById(id);
  if (!el) {
    el = document.createElement("div");
    el.id = id;
    el.setAttribute("role", role);
    el.setAttribute("aria-live", "polite");
    el.style.cssText = `position:fixed;z-index:9999;left:50%;transform:translate(-50%);max-width:90vw;${css}`;
    document.body.append(el);
  }
  return el;
}

const BOX = "margin:.5rem;padding:.5rem 1rem;border-radius:.5rem;background:#222;color:#fff;font:1rem/1.4 system-ui,sans-serif";

/** Shows a message until it is clicked or pushed out by newer ones. */
export function flash(kind: string, text: string): void {
  const list = area("live-flash", "status", "top:0");
  const p = document.createElement("p");
  p.className = "live-flash live-flash-" + kind.replace(/\W/g, "-");
  if (list.style.position) p.style.cssText = BOX;
  if (kind === "error") p.setAttribute("role", "alert");
  p.textContent = text;
  p.onclick = () => p.remove();
  list.append(p);
  while (list.children.length > MAX_FLASHES) list.firstElementChild!.remove();
}

/** Says that the page is stale, or takes it back. */
export function notice(root: HTMLElement, stale: boolean): void {
  const el = area("live-notice", "status", "bottom:0;" + BOX);
  el.textContent = stale ? root.dataset.stale || STALE_TEXT : "";
  el.hidden = !stale;
}
