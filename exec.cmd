@rem For cmd.exe, which has no exec: the scripts of package.json begin with it.
@%*
