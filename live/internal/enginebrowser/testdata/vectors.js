// Runs vectors that the Go test generates. Each adopts a page, applies what the
// server sends, and compares the DOM with that of a full render after each step.

/** A DOM as text: comments out, text merged, attributes sorted. */
function normal(node) {
  let out = "";
  let text = "";
  const flush = () => {
    if (text) out += "\n#" + JSON.stringify(text);
    text = "";
  };
  const children = node.localName === "template" ? node.content.childNodes : node.childNodes;
  for (const n of children) {
    if (n.nodeType === 3) text += n.data;
    else if (n.nodeType === 1) {
      flush();
      const attrs = [...n.attributes].map((a) => `${a.name}=${JSON.stringify(a.value)}`).sort();
      out += `\n<${n.namespaceURI.slice(-4)}:${n.nodeName} ${attrs.join(" ")}>${normal(n).replace(/\n/g, "\n ")}`;
    }
  }
  flush();
  return out;
}

function full(html) {
  const d = document.createElement("div");
  d.innerHTML = "<!---->" + html; // as a page is parsed: not by Chromium's fast parser
  return normal(d);
}

/** What a run changes in a tree, "" for nothing. */
function touches(root, run) {
  const observer = new MutationObserver(() => {});
  observer.observe(root, { subtree: true, childList: true, attributes: true, characterData: true });
  run();
  const [first] = observer.takeRecords();
  observer.disconnect();
  return first ? `${first.type} of ${first.target.nodeName} ${first.target.outerHTML ?? first.target.data}` : "";
}

window.runVector = (v) => {
  const root = document.createElement("div");
  document.body.append(root);
  const notes = [];
  try {
    root.innerHTML = "<!---->" + v.marked;
    root.firstChild.remove();
    const patcher = live.createPatcher(root, JSON.parse(v.manifest), { onMismatch: (why) => notes.push(why) });
    if (!patcher.hydrated) return `not adopted: ${notes}`;
    for (const [i, step] of v.steps.entries()) {
      if (step.patch) patcher.patch(JSON.parse(step.patch));
      if (step.snapshot) {
        if (!step.same) patcher.snapshot(JSON.parse(step.snapshot));
        const touched = touches(root, () => patcher.snapshot(JSON.parse(step.snapshot)));
        if (touched) return `step ${i}: a snapshot of what the page shows touches ${touched}`;
      }
      if (step.broken) {
        // somebody else rewrites the page: the next snapshot must repair it
        root.innerHTML = step.broken;
        patcher.hydrated = false;
        patcher.snapshot(JSON.parse(step.repair));
        const touched = touches(root, () => patcher.snapshot(JSON.parse(step.repair)));
        if (touched) return `step ${i}: a second snapshot touches ${touched}`;
      }
      const got = normal(root);
      const want = full(step.want);
      if (got !== want) return `step ${i}: got ${got}\nwant ${want}\nDOM ${root.innerHTML}`;
    }
  } catch (e) {
    return `${e.stack}`;
  } finally {
    root.remove();
  }
  return "";
};

window.runVectors = (list) => list.map(window.runVector);
