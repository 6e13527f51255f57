/** Errors in the vendor's form: status, `x-ms-error-code`, and an XML body. */

export class StorageFault extends Error {
  override readonly name = 'StorageFault';

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export const faults = {
  unknownAccount: () => new StorageFault(404, 'ResourceNotFound', 'The specified resource does not exist.'),
  containerName: () =>
    new StorageFault(400, 'InvalidResourceName', 'The specified resource name contains invalid characters.'),
  containerNotFound: () => new StorageFault(404, 'ContainerNotFound', 'The specified container does not exist.'),
  blobNotFound: () => new StorageFault(404, 'BlobNotFound', 'The specified blob does not exist.'),
  authentication: () =>
    new StorageFault(
      403,
      'AuthenticationFailed',
      'Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.',
    ),
  invalidToken: () =>
    new StorageFault(
      401,
      'InvalidAuthenticationInfo',
      'Authentication information is not given in the correct format. Check the value of Authorization header.',
    ),
  keysRefused: () =>
    new StorageFault(
      403,
      'KeyBasedAuthenticationNotPermitted',
      'Key based authentication is not permitted on this storage account.',
    ),
  publicAccess: () =>
    new StorageFault(409, 'PublicAccessNotPermitted', 'Public access is not permitted on this storage account.'),
  permission: () =>
    new StorageFault(
      403,
      'AuthorizationPermissionMismatch',
      'This request is not authorized to perform this operation using this permission.',
    ),
  immutable: () =>
    new StorageFault(
      409,
      'BlobImmutableDueToPolicy',
      'This operation is not permitted as the blob is immutable due to a policy.',
    ),
  legalHold: () =>
    new StorageFault(
      409,
      'BlobImmutableDueToLegalHold',
      'This operation is not permitted as the blob is immutable due to one or more legal holds.',
    ),
  containerProtected: () =>
    new StorageFault(
      409,
      'ContainerProtectedFromDeletion',
      'This operation is not permitted as the container is protected from deletion: it holds blobs under an immutability policy or a legal hold.',
    ),
  currentVersion: () =>
    new StorageFault(
      403,
      'OperationNotAllowedOnRootBlob',
      'The operation is not allowed on the current version of the blob; delete the blob without a version.',
    ),
  copySource: () =>
    new StorageFault(
      400,
      'InvalidHeaderValue',
      'The value for one of the HTTP headers is not in the correct format: x-ms-copy-source.',
    ),
  /** What a tester asked for. The vendor throttles with 503, and says 429 nowhere. */
  ordered: (status: number) =>
    status === 503
      ? new StorageFault(503, 'ServerBusy', 'The server is busy.')
      : new StorageFault(
          status,
          'InternalError',
          'The server encountered an internal error. Please retry the request.',
        ),
  notImplemented: (what: string) =>
    new StorageFault(501, 'NotImplemented', `The requested operation is not implemented: ${what}.`),
};
