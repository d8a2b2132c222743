import { useState } from "react";
import { createRoot } from "react-dom/client";
import { useLastmile } from "lastmile-push/react";

function Said({ cursor }) {
  const [texts, setTexts] = useState([]);
  useLastmile("/push", {
    actions: ["ReactSaid"],
    after: cursor,
    on: (action, data) => setTexts((all) => [...all, data.text]),
  });
  return (
    <ol id="list" className="list" aria-live="polite">
      {texts.map((text, i) => <li key={i}>{text}</li>)}
    </ol>
  );
}

const root = document.querySelector("#root");
createRoot(root).render(<Said cursor={root.dataset.cursor} />);
