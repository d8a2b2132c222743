// Listens to the user: clicks and submissions become actions. One listener a
// kind on the container, so that patches never need to bind any. Edits are
// input.ts's.

import { attr, call } from "./dom";
import { fieldData, formData, submitAction, values } from "./forms";
import type { Field, Inputs } from "./input";
import type { Data, Send } from "./protocol";
import type { Entry } from "./queue";

/** Interactive elements that keep their own click inside a clickable area. */
const INTERACTIVE = "a[href],button,input,select,textarea,label,summary";

export function listen(root: HTMLElement, page: string, { fields, all }: Inputs, send: Send, met: () => boolean): void {
  /** The last submission of each form that has no answer yet. */
  const pending = new WeakMap<Element, Entry>();
  const fieldsOf = (form: Element) => all().filter((f) => f.form === form);
  let clearing = false;

  const click = (e: MouseEvent) => {
    const target = e.target as Element;
    const el = call(target, "closest", "[live-click]");
    if (!el || !root.contains(el) || e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    const inner = call(target, "closest", INTERACTIVE);
    if (inner && inner !== el && call(el, "contains", inner)) return;
    if (call(el, "matches", ":disabled,[aria-disabled=true]")) return;
    const button = inner as HTMLButtonElement | null;
    if (inner?.matches("a") || (button?.form && /^(submit|reset|image)$/.test(button.type))) e.preventDefault();
    send(attr(el, "live-click")!, { ...fieldData(el), ...values(el) }, [el]);
  };

  const submit = (e: SubmitEvent) => {
    if (e.defaultPrevented) return;
    const form = e.target as HTMLFormElement;
    const button = e.submitter;
    const action = submitAction(form, button, page);
    const method = button?.getAttribute("formmethod") ?? attr(form, "method");
    // Before the server has ever answered, a form that can be posted is the browser's: it works without us.
    if (!action || (!met() && /post/i.test(method ?? ""))) return;
    if (method !== "dialog") e.preventDefault(); // a dialog closes besides
    const data: Data = { ...formData(form, button), ...values(form), ...values(button) };
    const old = pending.get(form);
    if (old?.a === action && JSON.stringify(old.d) === JSON.stringify(data)) return; // nothing new: a double one
    let m: Entry | undefined;
    m = send(action, data, button ? [form, button] : [form], (error) => {
      if (pending.get(form) === m) pending.delete(form);
      if (!error && call(form, "hasAttribute", "live-reset")) clear(form, m!);
    });
    if (m.done) return;
    pending.set(form, m);
    fields.carried(fieldsOf(form), m);
  };

  /** Resets a form, but for what is newer than its submission. */
  const clear = (form: HTMLFormElement, m: Entry) => {
    const kept = new Map<Field, unknown>();
    const old = fieldsOf(form).filter((f) => !fields.newer(f, m) || !kept.set(f, fields.port.shown(f)));
    clearing = true;
    call(form, "reset");
    clearing = false;
    kept.forEach((v, f) => fields.port.display(f, v));
    fields.resetted(old, true);
  };

  root.addEventListener("click", click);
  root.addEventListener("submit", submit);
  // The fields are reset behind the event.
  root.addEventListener("reset", (e) => clearing || setTimeout(() => fields.resetted(fieldsOf(e.target as Element))));
}
