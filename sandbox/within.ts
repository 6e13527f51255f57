/**
 * @returns a signal that fires after a time, or with one of the others. `AbortSignal.any` is not used for that: Node 20 lets a
 * time-out that only it knows of be collected as garbage, and then it never fires.
 */
export function within(ms: number, ...signals: readonly AbortSignal[]): AbortSignal {
  const controller = new AbortController();
  const end = (reason: unknown) => {
    clearTimeout(timer);
    for (const signal of signals) signal.removeEventListener('abort', follow);
    controller.abort(reason);
  };
  const follow = () => end(signals.find((signal) => signal.aborted)?.reason);
  const timer = setTimeout(() => end(new DOMException('The operation was aborted due to timeout', 'TimeoutError')), ms);
  timer.unref();
  for (const signal of signals) signal.addEventListener('abort', follow, { once: true });
  if (signals.some((signal) => signal.aborted)) follow();
  return controller.signal;
}
