package msk.e2e;

/** What stands behind an access key: its secret, the session token of temporary credentials (or null), the role's ARN. */
record IamKey(String secret, String sessionToken, String principal) {}
