package store_test

const childRole = "TWOKEY_STORE_TEST_CHILD"

func child(role string) int { return 2 }
