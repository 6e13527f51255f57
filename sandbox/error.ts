/** A fault that a person can mend: the message is the one line that they read (what, value got, what is allowed, how to fix). */
export class SandboxError extends Error {
  override readonly name = 'SandboxError';

  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
