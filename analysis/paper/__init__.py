"""The paper's tables, one function each, from our records beside the paper's numbers: `registry` lists them."""
