"""The life of one key: issue, stage, prove, promote. Knows no vendor and no AWS client."""
