"""The sets of GLUE, SuperGLUE, SQuAD and MRQA, one by one."""
