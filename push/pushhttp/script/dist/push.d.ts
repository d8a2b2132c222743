/** What a connection is doing: the handler's state function gets it. */
export type State = "open" | "lost" | "closed" | "stuck";

export interface Options {
  /**
   * Called for each push, once and in order. The next one waits for the promise.
   * A push whose handler throws comes again, three times at most: then nothing
   * follows, and the state is "stuck".
   */
  on(action: string, data: any, id: string): void | Promise<void>;
  /** The actions to read. All without it. */
  actions?: string[];
  /**
   * Topics to follow while there is a stream: what is said there goes to on with
   * an empty id, at most once. The server decides who may (Config.Topics), and
   * closes the connection with 403 otherwise. Polls follow none.
   */
  topics?: string[];
  /** Where to begin: what the server's Handler.Cursor gave for this page. */
  after?: string;
  /**
   * Called when pushes have passed that cannot be read any more: the page has to
   * load its data anew. Reloads the page without it.
   */
  reset?(): void;
  /** Told of the connection. status is that of the answer that closed it. */
  state?(state: State, status?: number): void;
  /** Makes a bearer token, for pages without the application's cookie. */
  token?(): string | Promise<string>;
  /** "keep" leaves the connection of a hidden tab open. */
  hidden?: "keep";
  /** false gives each tab a connection of its own. */
  share?: boolean;
  /** Polls from the beginning. */
  poll?: boolean;
}

export interface Connection {
  /** Ends it. */
  close(): void;
  /** The ID of the last push that the page has handled. */
  readonly cursor: string;
}

/**
 * Reads the session's pushes from the handler that is mounted at base, such as
 * "/push". It keeps its place in the tab's session storage.
 */
export declare function open(base: string, options: Options): Connection;
