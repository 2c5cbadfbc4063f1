"""Reads PDF documents as tolerantly as viewers do, within limits of time and memory."""
