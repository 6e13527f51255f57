/** Every version that the bootstrap needs, and the SHA-256 of what it downloads. Go modules: the go.sum files; npm: package-lock.json. */

export const versions = {
  /** The engine that is downloaded or built. One that is installed is used from `least` on, the SDK's own version. */
  pulumi: {
    version: '3.250.0',
    least: '3.230.0',
    source: 'https://get.pulumi.com/releases/sdk',
    sha256: {
      x64: '8916fd36ccc96adbd45ca679194b685e3b767d94502ae05610878a6d9870b8f3',
      arm64: 'deb4bf0d05b4cbaf3adcf82ffa44039ad0ebf039e33338ead8136877a437b4e5',
    },
  },
  keycloak: {
    version: '26.7.3',
    sha256: '77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47',
  },
  mavenCentral: 'https://repo.maven.apache.org/maven2',
  mavenDependencyPlugin: '2.8',
  go: { least: '1.21.0', recommended: '1.26' },
  java: { least: '17' },
  postgres: { least: '15' },
} as const;
