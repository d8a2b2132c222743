import { session } from "/plain/vendor/turbo.js";

session.drive = false; // of Turbo, this page wants streams alone

// Pushes have passed which cannot be read any more: Turbo itself hears no named events.
document.querySelector("turbo-stream-source").streamSource.addEventListener("reset", () => location.reload());
