"""From files of the hub to prepared folders that runs map into memory."""
