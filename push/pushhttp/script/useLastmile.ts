// A React hook on push.ts.
import { useEffect, useRef } from "react";
import { open } from "./push.js";
import type { Options } from "./dist/push.js";

export const useLastmile = (base: string, options: Options): void => {
  const latest = useRef(options);
  latest.current = options;
  useEffect(() => {
    const o = latest.current;
    // Strict mode opens twice: the cursor makes that harmless.
    const connection = open(base, {
      ...o,
      on: (...push) => latest.current.on(...push),
      state: (...now) => latest.current.state?.(...now),
      ...(o.reset && { reset: () => latest.current.reset?.() }),
    });
    return () => connection.close();
  }, [base, String(options.actions), String(options.topics)]);
};
