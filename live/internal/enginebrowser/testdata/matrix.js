// What a user and the browser keep in the DOM, and what must still be there
// after the server has changed something else.

const at = (root, s) => root.querySelector(s);

/** The user acts, widgets fill, things run. */
async function act(root) {
  const focused = at(root, "#focused");
  const frames = [...root.querySelectorAll("iframe")];
  await Promise.all(frames.map((f) => new Promise((done) => {
    if (f.contentDocument?.readyState === "complete" && f.contentDocument.body?.textContent) done();
    else f.addEventListener("load", done, { once: true });
  })));
  frames.forEach((f) => (f.contentWindow.mark = 1));
  at(root, "#area").value = "typed by hand";
  at(root, "#check").checked = true;
  at(root, "#choice").value = "c";
  at(root, "#details").open = true;
  at(root, "#widget").innerHTML = "<b>filled by a widget</b>";
  at(root, '[data-key="2"] .name').value = "typed in a row";
  for (const li of root.querySelectorAll("li")) li.animate([{ opacity: 0.5 }, { opacity: 1 }], 1e6);
  at(root, "#dialog").showModal();
  const inner = at(root, "#dialog input");
  const field = focused.closest("dialog") ? focused : inner ?? focused;
  field.focus();
  field.value = "focused text";
  field.setSelectionRange(3, 7);
  return { field, rows: new Map([...root.querySelectorAll("li")].map((li) => [li.dataset.key, li])) };
}

/** Lists what was lost. */
function lost(root, { field, rows }, follows) {
  const bad = [];
  const check = (what, ok) => ok || bad.push(what);
  check("focus", document.activeElement === field);
  check("caret", field.selectionStart === 3 && field.selectionEnd === 7);
  check("focused value", field.value === "focused text");
  check("dirty textarea", at(root, "#area").value === (follows ? "from the server" : "typed by hand"));
  check("dirty checkbox", at(root, "#check").checked);
  check("dirty select", at(root, "#choice").value === "c");
  check("dirty row input", at(root, '[data-key="2"] .name')?.value === "typed in a row");
  check("details", at(root, "#details").open);
  check("modal dialog", at(root, "#dialog").matches(":modal"));
  check("widget", at(root, "#widget").textContent === "filled by a widget");
  for (const li of root.querySelectorAll("li")) {
    if (!rows.has(li.dataset.key)) continue;
    check(`row ${li.dataset.key} is another element`, rows.get(li.dataset.key) === li);
    check(`iframe of row ${li.dataset.key} reloaded`, at(li, "iframe").contentWindow?.mark === 1);
    check(`animation of row ${li.dataset.key}`, li.getAnimations().length === 1);
  }
  return bad;
}

/** Lists what was lost, what the page does not show, and what a left field becomes. */
function verify(root, kept, v) {
  const bad = lost(root, kept, v.follows);
  for (const s of v.shows) if (!root.innerHTML.includes(s)) bad.push(`the page does not show ${s}`);
  const keys = [...root.querySelectorAll("li")].map((li) => li.dataset.key).join();
  if (keys !== v.keys) bad.push(`rows ${keys}, want ${v.keys}`);
  if (v.blur) {
    kept.field.blur();
    if (kept.field.value !== v.blur) bad.push(`after blur: ${kept.field.value}, want ${v.blur}`);
  }
  return bad;
}

window.runMatrix = async (v) => {
  const root = document.createElement("div");
  document.body.append(root);
  try {
    root.innerHTML = v.marked;
    const notes = [];
    let kept = v.when === "before" ? await act(root) : null;
    const inputs = live.createInputs(root);
    const patcher = live.createPatcher(root, JSON.parse(v.manifest), { policy: inputs, onMismatch: (why) => notes.push(why) });
    if (!patcher.hydrated) return [`not adopted: ${notes}`];
    kept ??= await act(root);
    inputs.before();
    if (v.when === "snapshot") patcher.snapshot(JSON.parse(v.snapshot));
    else patcher.patch(JSON.parse(v.patch));
    inputs.after();
    return verify(root, kept, v);
  } catch (e) {
    return [e.stack];
  } finally {
    root.remove();
  }
};

// The same on the page of a real server.

window.actLive = async () => (window.kept = await act(document.getElementById("live"))) && true;
window.verifyLive = (v) => verify(document.getElementById("live"), window.kept, v);
