export function createMock(options?: { clock?: () => number }): {
  answer(method: string, path: string, body?: unknown): [number, unknown] | null;
};
