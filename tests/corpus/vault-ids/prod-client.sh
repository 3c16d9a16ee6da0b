#!/bin/sh
echo prodpw
