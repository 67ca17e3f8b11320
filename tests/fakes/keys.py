"""Keys that other tools leave in a bucket."""

KEYS = (
    "a b c",
    " begins and ends ",
    "1+1",
    "100%",
    "50%25",
    'it\'s "quoted"',
    "#1",
    "a&b=c?d",
    "*.png",
    "[1];:@$,~!()",
    "<tag>&amp;",
    "back\\slash",
    "größe/straße",
    "пример",
    "左目/写真",
    "\U0001f441.jpg",
)
