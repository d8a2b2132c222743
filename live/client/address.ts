// The page's address, beside the client on pages whose controller has OnURL: the
// server changes the query, and hears where back and forward have led.

import type { LiveError } from "./protocol";

const root = document.getElementById("live")!;
const page = location.href.replace(/[?#].*/, "");
/** As the server knows it, or will once it has been told. */
let { search } = location;

root.addEventListener("live:address", (e) => {
  const [query, replace] = (e as CustomEvent<[string, number?]>).detail;
  if (query !== search) history[replace ? "replaceState" : "pushState"](0, "", page + (search = query));
});

addEventListener("popstate", () => {
  // Another fragment, or a path that a script has made.
  if (search === location.search || location.href.replace(/[?#].*/, "") !== page) return;
  ({ search } = location);
  void window.live!.push("OnURL", { u: search });
});

root.addEventListener("live:error", (e) => {
  const { code, action } = (e as CustomEvent<LiveError>).detail;
  // A page that has started anew was opened at the address that it has.
  if (code === "lost" && action === "OnURL") e.preventDefault();
});
