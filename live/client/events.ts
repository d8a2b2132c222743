// Listens to the user: clicks, submissions and edits become actions. One
// listener a kind on the container, so that patches never need to bind any.

import { fieldData, formData, submitAction, values } from "./forms";
import type { Data, LiveError, Send } from "./protocol";

/** Interactive elements that keep their own click inside a clickable area. */
const INTERACTIVE = "a[href],button,input,select,textarea,label,summary";

/** Listens; the result sends at once what still waits for its debounce. */
export function listen(root: HTMLElement, page: string, send: Send): () => void {
  const waiting = new Map<Attr, { timer: number; run(): void }>();
  const busy = new WeakSet<Element>();

  const flush = () => {
    for (const [key, w] of waiting) {
      clearTimeout(w.timer);
      waiting.delete(key);
      w.run();
    }
  };

  const find = (target: Element, attribute: string) => {
    const el = target.closest(`[${attribute}]`);
    return el && root.contains(el) ? el : null;
  };

  const click = (e: MouseEvent) => {
    const target = e.target as Element;
    const el = find(target, "live-click");
    if (!el || e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    const inner = target.closest(INTERACTIVE);
    if (inner && inner !== el && el.contains(inner)) return;
    if (el.matches(":disabled,[aria-disabled=true]")) return;
    const button = inner as HTMLButtonElement | null;
    if (inner?.matches("a") || (button?.form && /^(submit|reset|image)$/.test(button.type))) e.preventDefault();
    flush();
    send(el.getAttribute("live-click")!, { ...fieldData(el), ...values(el) }, [el]);
  };

  const submit = async (e: SubmitEvent) => {
    if (e.defaultPrevented) return;
    const form = e.target as HTMLFormElement;
    const action = submitAction(form, e.submitter, page);
    if (!action) return;
    const method = e.submitter?.getAttribute("formmethod") ?? form.getAttribute("method");
    if (method !== "dialog") e.preventDefault(); // a dialog closes besides
    if (busy.has(form)) return; // a double submit
    flush();
    busy.add(form);
    const data: Data = { ...formData(form, e.submitter), ...values(form), ...values(e.submitter) };
    const elements = e.submitter ? [form, e.submitter] : [form];
    const error: LiveError | undefined = await send(action, data, elements);
    busy.delete(form);
    if (!error && form.hasAttribute("live-reset")) form.reset();
  };

  const edit = (attribute: string) => (e: Event) => {
    const field = e.target as HTMLInputElement;
    const el = find(field, attribute);
    // Half-composed input is nobody's value yet; compositionend follows.
    if (!el || (e as InputEvent).isComposing) return;
    const key = el.getAttributeNode(attribute)!;
    const run = () => {
      const data: Data =
        el instanceof HTMLFormElement ? { ...formData(el), _target: field.name } : fieldData(field);
      send(el.getAttribute(attribute)!, { ...data, ...values(el) }, [], key);
    };
    const wait = +(field.getAttribute("live-debounce") ?? el.getAttribute("live-debounce") ?? 0);
    clearTimeout(waiting.get(key)?.timer);
    waiting.delete(key);
    if (!wait) {
      flush();
      return run();
    }
    const timer = setTimeout(() => {
      waiting.delete(key);
      run();
    }, wait);
    waiting.set(key, { timer, run });
  };

  root.addEventListener("click", click);
  root.addEventListener("submit", submit);
  root.addEventListener("change", edit("live-change"));
  root.addEventListener("input", edit("live-input"));
  root.addEventListener("compositionend", edit("live-input"));
  return flush;
}
