/** What the environment says about this instance of the application. */

export const apps = ['admin', 'api', 'id', 'static', 'survey'] as const;
export type App = (typeof apps)[number];

export interface Settings {
  readonly app: App;
  readonly port: number;
  readonly site: string;
  readonly release: string;
  readonly epoch: number;
}

export interface LoginSettings {
  readonly issuer: string;
  /** Where the application's own calls to the provider go; browsers go to the issuer. */
  readonly backchannel: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly sessionSecret: string;
  readonly publicUrl: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const shortestSecret = 16;

/** Collects every issue, throws once. */
class Reader {
  readonly issues: string[] = [];

  constructor(private readonly env: Environment) {}

  text(name: string, allowed: string, accepts: (value: string) => boolean = Boolean): string {
    const value = this.env[name] ?? '';
    // What may be a secret is not repeated in a message.
    const shown = name.endsWith('SECRET') ? `${value.length} characters` : `"${value}"`;
    if (!accepts(value)) this.issues.push(`${name} is ${shown}; allowed is ${allowed}`);
    return value;
  }

  number(name: string, allowed: string, least: number, most: number): number {
    return Number(
      this.text(name, allowed, (text) => /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most),
    );
  }

  done<T>(settings: T): T {
    if (this.issues.length) throw new Error(`environment of the application: ${this.issues.join('; ')}`);
    return settings;
  }
}

/** @throws Error that names every variable with its value and what is allowed. */
export function readSettings(env: Environment): Settings {
  const reader = new Reader(env);
  return reader.done({
    app: reader.text('APP', `one of ${apps.join(', ')}`, (text) => (apps as readonly string[]).includes(text)) as App,
    port: reader.number('PORT', 'a port, 1 to 65535', 1, 65_535),
    site: reader.text('SITE', 'the name of a site'),
    release: reader.text('RELEASE', 'a version'),
    epoch: reader.number('EPOCH', 'a whole number', 0, 2 ** 31 - 1),
  });
}

/** @throws Error as above. */
export function readLoginSettings(env: Environment): LoginSettings {
  const reader = new Reader(env);
  const isUrl = (text: string) => /^https?:\/\//.test(text) && URL.canParse(text);
  return reader.done({
    issuer: reader.text('OIDC_ISSUER', 'the URL of an OpenID provider', isUrl),
    backchannel: env['OIDC_BACKCHANNEL'] ? reader.text('OIDC_BACKCHANNEL', 'a URL', isUrl) : (env['OIDC_ISSUER'] ?? ''),
    clientId: reader.text('OIDC_CLIENT_ID', 'the client id'),
    clientSecret: reader.text('OIDC_CLIENT_SECRET', 'the client secret'),
    sessionSecret: reader.text(
      'SESSION_SECRET',
      `at least ${shortestSecret} characters`,
      (text) => text.length >= shortestSecret,
    ),
    publicUrl: reader.text('PUBLIC_URL', 'the URL that users see', isUrl),
  });
}
