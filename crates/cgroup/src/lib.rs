//! Control groups: v2 as the model, v1 and hybrid hosts behind the same face.
