/** The kinds of resources whose loss is a loss of data: what must be protected, and never replaced or deleted. */
export const dataTypes: readonly string[] = [
  'azure-native:dbforpostgresql:Server',
  'azure-native:dbforpostgresql:Database',
  'azure-native:sql:Server',
  'azure-native:sql:Database',
  'azure-native:storage:StorageAccount',
  'azure-native:storage:BlobContainer',
  'azure-native:dataprotection:BackupVault',
  'azure-native:recoveryservices:Vault',
  'azure-native:keyvault:Vault',
  'cloudflare:index/r2Bucket:R2Bucket',
];

export const isData = (type: string): boolean => dataTypes.includes(type);
