// What the hook uses of React, so that its types are checked without React's.
declare module "react" {
  export function useEffect(effect: () => void | (() => void), deps: readonly unknown[]): void;
  export function useRef<T>(value: T): { current: T };
}
