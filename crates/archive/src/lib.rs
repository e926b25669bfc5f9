//! Layer tar streams: read, write, whiteouts, compression; hostile input refused.
