"""SoftLayer / IBM Cloud Classic: machines billed by the hour, ordered from the API of that name."""
